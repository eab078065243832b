"""What a neuron is: its direction, its texts, its clusters, its place on the map."""
