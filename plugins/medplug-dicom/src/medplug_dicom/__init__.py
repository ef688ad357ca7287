"""Reads DICOM files for medplug."""
