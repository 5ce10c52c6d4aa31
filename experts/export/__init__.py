"""Makes experts' folders from models on disk. Needs the extra `train`; nothing that serves imports from here."""
