// Command guest is /init in the virtual machines of integration/vm: it mounts what a Linux has, loads modules, runs the job's steps and says
// what became of them over a serial port.
//
// Process 1 does nothing but reap orphans and switch the machine off. The work is done by a child of it, the agent, which can
// therefore wait for its own children as any program does.
package main
