// A virtual network with a subnet for the app and one for private endpoints.

param name string
param location string
param tags { *: string }

@description('Addresses of the network, between /16 and /24: half of them for the app, a sixteenth for endpoints.')
param addressPrefix string

@description('Let the app reach any host by HTTPS: for the build, or since the authority of its tokens is not Entra.')
param internetIsNeeded bool

var prefixLength = parseCidr(addressPrefix).cidr

// What the app may send to: storage and whatever is in the network, sign-in, telemetry, and itself: a deployment has it
// read its triggers by its public name. A rule for each, by priority.
var destinations = concat(
  [
    { name: 'network', tag: 'VirtualNetwork', ports: '*' }
    { name: 'storage', tag: 'Storage', ports: '443' }
    { name: 'sign-in', tag: 'AzureActiveDirectory', ports: '443' }
    { name: 'telemetry', tag: 'AzureMonitor', ports: '443' }
    { name: 'itself', tag: 'AppService', ports: '443' }
  ],
  internetIsNeeded ? [{ name: 'internet', tag: 'Internet', ports: '443' }] : []
)

resource securityGroup 'Microsoft.Network/networkSecurityGroups@2025-05-01' = {
  name: '${name}-app'
  location: location
  tags: tags
  properties: {
    securityRules: concat(
      map(range(0, length(destinations)), index => {
        name: destinations[index].name
        properties: {
          priority: 100 + index
          direction: 'Outbound'
          access: 'Allow'
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: destinations[index].tag
          destinationPortRange: destinations[index].ports
        }
      }),
      [
        {
          name: 'nothing-else'
          properties: {
            priority: 4096
            direction: 'Outbound'
            access: 'Deny'
            protocol: '*'
            sourceAddressPrefix: '*'
            sourcePortRange: '*'
            destinationAddressPrefix: 'Internet'
            destinationPortRange: '*'
          }
        }
      ]
    )
  }
}

// Its subnets are resources of their own: a list of them here would remove those that others added.
resource network 'Microsoft.Network/virtualNetworks@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        addressPrefix
      ]
    }
  }
}

resource appSubnet 'Microsoft.Network/virtualNetworks/subnets@2025-05-01' = {
  parent: network
  name: 'app'
  properties: {
    addressPrefix: cidrSubnet(addressPrefix, prefixLength + 1, 0)
    networkSecurityGroup: {
      id: securityGroup.id
    }
    delegations: [
      {
        name: 'flex-consumption'
        properties: {
          serviceName: 'Microsoft.App/environments'
        }
      }
    ]
  }
}

// After the first: a network refuses two changes at once.
resource endpointSubnet 'Microsoft.Network/virtualNetworks/subnets@2025-05-01' = {
  parent: network
  name: 'endpoints'
  properties: {
    addressPrefix: cidrSubnet(addressPrefix, prefixLength + 4, 8)
  }
  dependsOn: [
    appSubnet
  ]
}
