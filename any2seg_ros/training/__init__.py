"""Trains Any2Seg: data sets, augmentation, losses, LSCD and its teachers, trainer, calibration."""
