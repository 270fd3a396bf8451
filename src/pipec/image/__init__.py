"""Step images: what goes into one, how it is built with the `docker` command, and what a built one holds."""
