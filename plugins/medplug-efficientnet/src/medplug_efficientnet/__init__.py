"""EfficientNet-Lite for medplug: the network, its published weights, and the component that offers them."""
