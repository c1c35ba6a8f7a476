. "$CASES/lib.sh"
hybrid afe3775c-6c
nic ens3
# As libvirt makes them of <bandwidth>, and Open vSwitch of a QoS of type linux-htb. Nobody has set what polices qvo.
tc qdisc add dev tapafe3775c-6c root handle 1: htb default 1
tc qdisc add dev tapafe3775c-6c ingress
tc qdisc add dev qvoafe3775c-6c root handle 1: htb default 1
tc qdisc add dev ens3 root tbf rate 100mbit burst 32kbit latency 400ms
