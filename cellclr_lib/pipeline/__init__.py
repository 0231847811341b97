"""Join the stages: make or load each result, reproduce a whole screen, estimate its cost, watch a training."""
