"""Sweeps and trainings on many processors, GPUs and hosts. Everything that imports ray lives here.

Ray reads its settings when it is imported, so they are made here, before any file of this folder imports it; that
holds for the processes of trials as well.
"""

import os

os.environ.update(
    RAY_USAGE_STATS_ENABLED="0",  # no report over the network
    RAY_AIR_NEW_OUTPUT="0",  # the progress lines are ours
    TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",  # as are the tables
    TUNE_DISABLE_SIGINT_HANDLER="1",  # Ctrl-C is handled by `tuning.progress`
    TUNE_GLOBAL_CHECKPOINT_S="5",  # how much a killed driver may forget of what its trials reported
    TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S="0",  # that often is meant
    TUNE_FUNCTION_THREAD_TIMEOUT_S="60",  # a stopped trial may take so long to leave the process to the next one
    RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="1",  # a trial without a GPU sees none
)
