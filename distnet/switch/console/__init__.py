"""The console of the switch: commands as vde_switch has them, and the sockets they come from."""
