"""What the tests of molq and of its backends share."""
