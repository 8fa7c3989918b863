"""A Service Bus namespace on loopback that speaks AMQP 1.0 as Azure does, for its real SDKs.

It keeps everything in memory, is as strict as the service where our adapter or an operator's tool can meet
it, and never imports an adapter.
"""
