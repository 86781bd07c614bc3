"""From the declaration of an experiment to a task: who answers to each name, and what they make."""
