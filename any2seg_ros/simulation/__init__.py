"""Streets: towns, traffic, weather and sensors; writes the DELIVER layout and bags."""
