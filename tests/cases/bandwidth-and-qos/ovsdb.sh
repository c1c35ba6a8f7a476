$VSCTL add-br br-int -- add-br br-ex
$VSCTL add-port br-int int-br-ex -- set interface int-br-ex type=patch options:peer=phy-br-ex
$VSCTL add-port br-ex phy-br-ex -- set interface phy-br-ex type=patch options:peer=int-br-ex
$VSCTL add-port br-ex ens3
$VSCTL add-port br-int qvoafe3775c-6c -- set port qvoafe3775c-6c tag=1 -- set interface qvoafe3775c-6c external_ids:iface-id=afe3775c-6c00-4000-8000-000000000005 external_ids:attached-mac=fa:16:3e:0c:0f:46 external_ids:vm-uuid=0235f88e-9516-4a26-a189-0d4dd6ed9bb2 external_ids:iface-status=active
$VSCTL set interface qvoafe3775c-6c ingress_policing_rate=1024 ingress_policing_burst=1024
$VSCTL set port qvoafe3775c-6c qos=@qos -- --id=@qos create qos type=linux-htb other-config:max-rate=102400000 queues:0=@queue -- --id=@queue create queue other-config:max-rate=10000000 >&2
