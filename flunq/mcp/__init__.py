"""A server of the Model Context Protocol: workflows as tools, the cluster to look into."""
