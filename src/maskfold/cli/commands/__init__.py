"""A module for each command; its ``main`` is what ``src/COMMAND.py`` and ``maskfold COMMAND`` run."""
