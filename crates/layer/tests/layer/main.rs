//! What layers promise: each file is a form, a direction, or what hostile archives try.

mod chunked_layers;
mod compression;
mod hostile;
mod index;
mod other_tars;
mod other_tools;
mod round_trip;
mod support;
mod tar;
