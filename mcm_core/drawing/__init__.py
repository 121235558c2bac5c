"""What people draw or bring, judged once: `Conditions` of exact ids and strokes."""
