//! Walks the plan: key to hit, or execute to layer.
#![forbid(unsafe_code)]
