"""The processes of a cluster: nodes, control, supervisor."""
