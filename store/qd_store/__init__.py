"""The market database"""
