"""Run records -> answers: studies of the regularisers, their statistics, figures and verdicts."""
