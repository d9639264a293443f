"""The jobs: submit, deliver, run in the model process, wait. No HTTP here."""
