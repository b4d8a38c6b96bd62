// Command vmrun boots one of the kernels of integration/vm by hand:
//
//	go run ./integration/vm/cmd/vmrun -kernel 6.12 -module vgem -file bin/heapfs:/bin/heapfs -collect /tmp/out -- 'SCRIPT'
//
// It prints what the script prints and exits with its status; 125 when the virtual machine failed.
package main
