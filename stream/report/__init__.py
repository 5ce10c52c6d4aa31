"""Pages that stand alone: charts drawn by hand, and what pages of several commands share."""
