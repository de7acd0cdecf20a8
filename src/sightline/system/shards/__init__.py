"""Work over shards: a pure function of each, by processes of this machine, to the same bytes whatever their number."""
