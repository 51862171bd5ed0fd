"""What is looked through before native code follows it: files, graphs, trees and indices."""
