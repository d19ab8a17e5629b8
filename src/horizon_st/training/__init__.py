"""LossReport -> RunRecord: the loop, the stages, checkpoints and the record of a run."""
