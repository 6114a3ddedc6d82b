"""The parts of the control daemon, built from settings group by group; the daemon puts them in order."""
