"""`make lab`: a click on a chapter opens it as a notebook with this environment's kernel."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LIMIT_MS = 300_000  # ends what hangs, however slow the machine


@pytest.fixture(scope="module")
def lab(repository, tmp_path_factory):
    """Address of a JupyterLab started as the Makefile does, with nothing of the user's own settings."""
    home = tmp_path_factory.mktemp("home")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (recipe,) = re.findall(
        r"^\t(JUPYTER_CONFIG_PATH=.*jupyterlab.*)$", (repository / "Makefile").read_text(), re.M
    )
    command = recipe.replace("$(CURDIR)", str(repository)).replace("$(PY)", sys.executable)
    command += (
        f" --no-browser --allow-root --ServerApp.port={port} --ServerApp.port_retries=0 --IdentityProvider.token="
    )
    environment = os.environ | {"HOME": str(home), "JUPYTERLAB_SETTINGS_DIR": str(home / "lab")}
    with open(home / "log", "w") as log:
        server = subprocess.Popen(f"exec env {command}", shell=True, cwd=repository, env=environment, stderr=log)
    address = f"http://127.0.0.1:{port}/lab"
    for _ in range(600):
        try:
            urllib.request.urlopen(address, timeout=30)
            break
        except OSError:
            assert server.poll() is None, (home / "log").read_text()[-3000:]
            time.sleep(0.5)
    yield address
    server.terminate()
    server.wait(300)


def test_a_chapter_opens_as_a_notebook_with_the_right_kernel(browser, lab):
    tab = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    tab.goto(f"{lab}/tree/training.md", timeout=LIMIT_MS)
    tab.wait_for_selector(".jp-NotebookPanel .jp-CodeCell", timeout=LIMIT_MS)
    kernel = tab.locator(".jp-NotebookPanel .jp-KernelName")
    kernel.filter(has_text="Python 3").wait_for(timeout=LIMIT_MS)
    parameters = tab.locator(".jp-NotebookPanel .jp-CodeCell", has_text="small_screen").first
    parameters.locator(".jp-InputArea-editor").click()
    tab.keyboard.press("Shift+Enter")
    parameters.locator(".jp-InputPrompt", has_text="[1]:").wait_for(timeout=LIMIT_MS)
    tab.context.close()
