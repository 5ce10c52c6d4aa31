"""How the shipped experts were made. Needs the extra `train`; nothing that serves imports from here."""
