//! Trials of moves: asked for while a move holds, and with the move, before it stops.

mod first;
mod there;
