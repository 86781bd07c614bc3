"""The article that kerasx grew out of: its ten trainings, declared, run and explained."""
