"""edgeflow_converters: trained model in, verified artifact for one runtime out. Never imports edgeflow."""
