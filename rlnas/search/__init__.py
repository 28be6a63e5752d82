"""The search loop, its journal, and how far each network is trained."""
