"""The switch: Ethernet among kernels, in the place of vde_switch."""
