"""Conversations with the console of a switch, ours and vde_switch."""
