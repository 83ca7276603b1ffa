"""Work beside the answers: finished runs, jobs in threads, trainings in processes of their own."""
