"""A judge as a server: the wire formats that other tools speak, over one queue per judge."""
