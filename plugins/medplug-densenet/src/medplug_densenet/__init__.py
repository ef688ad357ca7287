"""DenseNet for medplug: the network, its published weights, and the components that offer them."""
