"""Brokers that plaint starts itself, for ``plaint up``: Tansu in memory for the first minute, a local Apache Kafka for good."""

from plaint.broker.process import Broker, BrokerFailed
from plaint.broker.settings import BrokerSettings
from plaint.broker.start import start_broker

__all__ = ["Broker", "BrokerFailed", "BrokerSettings", "start_broker"]
