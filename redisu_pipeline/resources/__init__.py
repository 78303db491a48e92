"""What assets, checks and sensors are given: the configuration, the lake and a look at Stripe's event feed."""
