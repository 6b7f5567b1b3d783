"""What all reports are made of: elements, style and templates."""
