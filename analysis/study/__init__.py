"""The parts of trigger_jet_study.py: trainings over processes, loss studies, rate–distortion, figures."""
