"""The discrete sparse autoencoder as a scikit-learn estimator."""

from needlepoint.circuits.estimators.discrete_sae import DiscreteSAE

__all__ = ["DiscreteSAE"]
