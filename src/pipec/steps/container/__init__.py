"""What the step image is built from. None of it runs in a step: `pipec.image` puts it beside the wheels."""
