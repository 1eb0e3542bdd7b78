"""Measuring: the plan, the statistics, the conditions and the verdict. All pure."""
