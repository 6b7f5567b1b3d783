"""What all reports are made of: Jinja2 templates, charts, pictures and the choice of frames."""
