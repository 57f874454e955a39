//! Names and groups over the cluster: replicated tables, pure.
