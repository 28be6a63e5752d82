"""The .tflite file: conversion to int8, what it computes, and what it takes on the chip."""
