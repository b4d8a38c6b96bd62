// A function without a body, such as one that is linked by name, needs an assembly file in its package.
