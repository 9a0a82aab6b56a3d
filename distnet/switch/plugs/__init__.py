"""What plugs into the switch, by kind: VDE, streams, datagrams, tap interfaces."""
